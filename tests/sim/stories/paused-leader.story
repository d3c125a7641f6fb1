# A leader stands still while another one takes over. What it answers when it goes on counts for nothing.
at 2 pause leader:payments-0
expect 2 2.1 is paused
expect 2.1 8 role=serving
at 9 resume 1
at 9 resume 2
at 9 resume 3
expect 9 9.1 goes on
expect 9 11 role=following
end 13
