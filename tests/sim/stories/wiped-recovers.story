# Node 4 leads, node 5 is cut off from it and lacks what nodes 4 and 6 have committed. Node 4 loses its disk; node 5 is given its
# partition and hears nothing more of the control log. Node 4 comes back empty, and is another incarnation, as node 5 does not
# know: its answer must not count. Node 6 has forgotten by then what it has shown, else it would refuse to cut it.
nodes 6
partitions 2
at 1 control 3
at 3 cut 4 5
at 4 power 4
at 4.01 reset 4 5
at 4.02 empty 4
at 4.05 join 4 5
at 4.05 cut 5 6
when 4 event=decision command=fence: +0 start 4
when 4 node=5 event=apply*command=fence: +0 cut-one-way 3 5
at 9 kill 6
at 9.2 heal
at 9.3 start 6
end 25
