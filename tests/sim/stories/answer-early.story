# Node 1 leads and is cut off from node 2, which is given the partition. Node 3 answers node 2 and loses power while its disk
# has not kept the promise. It comes back to node 1 alone, which has not heard of the new epoch: its records must not be taken.
at 1 control 2
at 3 cut 1 2
when 3 node=2 event=apply*command=fence: +0 slow 3 800
when 3 node=2 event=role*epoch=2 role=building: +0 power 3
when 3 node=2 event=role*epoch=2 role=building: +0.1 slow 3 1
when 3 node=2 event=role*epoch=2 role=building: +0.2 start 3
when 4 node=3 event=phase phase=ready: +0 cut 2 3
when 4 node=3 event=phase phase=ready: +2 kill 1
when 4 node=3 event=phase phase=ready: +2 kill 3
when 4 node=3 event=phase phase=ready: +2.2 heal
when 4 node=3 event=phase phase=ready: +2.3 start 1
when 4 node=3 event=phase phase=ready: +2.3 start 3
end 20
