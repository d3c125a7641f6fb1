# An old copy of a disk is put into a machine: it is found out before it counts, and comes back as another incarnation.
topics strict
at 2 power 3
at 2.1 copy 3
at 2.2 start 3
at 6 power 3
at 6.1 put-back 3
at 6.2 start 3
expect 6.2 10 event=rolled_back node=3
expect 6.2 14 phase=ready
end 15
