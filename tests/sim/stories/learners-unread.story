# Rule 9. The home of an async topic has died and node 3 leads; node 1 comes back, and is a learner, because it is never level.
# Node 2, the other voter, is cut off from node 3, which goes on for 2 s: what node 1 has got counts as shipped. Node 3 dies, too.
# Node 2 leads a second lossy epoch, and must read the learner.
topics clicks
at 1 control 3
at 3 kill 1
at 9 start 1
when 9 node=1 event=phase phase=ready: +0 delay 1 3 100
when 9 node=1 event=phase phase=ready: +0 delay 3 1 100
when 9 node=1 event=phase phase=ready: +2 control 1
when 9 node=1 event=phase phase=ready: +1.4 cut 2 3
when 9 node=1 event=phase phase=ready: +3.4 power 3
at 27 start 3
at 27 heal
end 33
