# The coordinator, node 2, is cut off from the controller, node 1, and is replaced; node 3 knows. Now a producer asks it for
# the end. It cannot commit that any more, and must not tell the partition that node 3 leads: the next coordinator aborts.
tellers 3 2.0
at 1 control 1
when 7 teller-1 has written transaction: +0.9 cut 1 2
when 7 teller-1 has written transaction: +9 heal
end 30
