# The leader is cut off from the controller; node 3 follows another one by now, and must not acknowledge what it refuses.
at 1 control 2
at 3 cut 1 2
expect 3 5 command=fence
at 8 heal
end 15
