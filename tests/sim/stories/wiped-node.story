# A node comes back with an empty disk: it joins anew under another raft id and catches up.
topics strict
at 2 power 2
at 2.5 empty 2
at 3 start 2
expect 3 8 event=rolled_back node=2
expect 3 15 phase=ready
end 16
