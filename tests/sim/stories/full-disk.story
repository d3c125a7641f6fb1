# A disk has less room than the reserve: its node takes nothing more, another one leads; then there is room again.
at 2 room leader:payments-0 4000
expect 2 10 command=node_full
expect 2 10 role=serving
at 12 room 1 all
at 12 room 2 all
at 12 room 3 all
end 15
