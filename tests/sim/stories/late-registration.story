# A wiped node registers through a peer that has no way to the controller; it dies, and its next start registers through
# another one. What the first has said arrives when the second runs: it must not make another incarnation of the
# node, which nobody is, and by which the one that runs is superseded.
nodes 4
at 1 power 4
at 1.1 empty 4
at 1.5 cut 1 2
at 1.5 cut 1 3
at 4 start 4
when 4 node=4 event=phase phase=registering: +0.12 power 4
when 4 node=4 event=phase phase=registering: +0.15 cut 1 4
when 4 node=4 event=phase phase=registering: +0.2 start 4
when 4.2 node=4 event=phase phase=ready: +0.1 heal
when 4.2 node=4 event=phase phase=ready: +0.6 reset 4 1
when 4.2 node=4 event=phase phase=ready: +0.6 reset 4 2
when 4.2 node=4 event=phase phase=ready: +0.6 reset 4 3
expect 4 9 node=4 event=phase phase=ready
end 10
