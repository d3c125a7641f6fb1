# Node 6 has a new disk and is no part of the epoch yet when node 4, the leader, is cut off from node 5 and from the controller.
# Node 4 must not count it: node 6 loses this disk, too, and node 5 has nothing of what the two would have committed.
nodes 6
partitions 2
at 1 control 3
at 2.9 power 6
at 2.92 empty 6
at 3 start 6
when 3 node=6 event=phase phase=ready: +0.3 cut 4 5
when 3 node=6 event=phase phase=ready: +0.3 cut 4 3
when 4 event=decision command=fence: +0 power 6
when 4 event=decision command=fence: +0.02 empty 6
when 4 event=decision command=fence: +0.05 start 6
at 16 heal
end 25
