# Rule 5. Node 3 has missed a lot when node 1, the leader, loses power. Node 2 leads and begins to copy to it,
# and loses power in the midst of that. Of the two that are left then node 1 has the longer log, node 3 has
# heard of the newer leader: it must not say that it has held the initial log of that one.
batch 0.005
at 1 control 2
at 2 isolate 3
at 7 join 2 3
at 9 power 1
when 9 role=serving: +0.018 reset 2 3
when 9 role=serving: +0.018 power 2
when 9 role=serving: +0.05 heal
when 9 role=serving: +0.05 start 1
when 9 role=serving: +8 start 2
end 20
