# ack: 3 loses a region: after two seconds it goes on with two, and comes back to three.
topics strict
at 3 isolate 3
never 3 4.9 command=assign
expect 4.9 9 command=assign
at 14 heal
expect 14 25 command=assign
end 25
