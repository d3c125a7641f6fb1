# All machines lose power at the same time.
topics strict
at 3 power 1
at 3 power 2
at 3 power 3
at 4 start 1
at 4.2 start 2
at 4.4 start 3
expect 4 12 role=serving
end 14
