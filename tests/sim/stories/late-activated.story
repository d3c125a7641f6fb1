# The home of an async topic dies with its disk; node 2 has got more of it than node 3. The others have no room
# for it until node 1 is back as a voter. Then node 2 is given a lossy epoch, and its word that this is in force
# is held up. It is fenced, node 3 is given another one, and now the word of the first arrives: it is about a
# log that nobody goes on with.
topics clicks
at 1 control 3
at 3 cut-one-way 1 3
at 3.2 room 2 23000
at 3.2 room 3 23000
at 3.3 power 1
at 3.3 reset 1 3
at 3.35 join 1 3
at 3.35 empty 1
at 3.6 start 1
at 14 control 1
at 15 room 2 all
when 16 node=2 event=apply*command=assign: +0 cut-one-way 2 1
when 16 node=2 event=apply*command=assign: +0.3 room 3 all
when 16 node=1 event=decision command=fence: +0 cut 2 3
when 17.5 node=3 event=apply*command=assign: +0 join-one-way 2 1
when 17.5 node=3 event=apply*command=assign: +3 heal
end 25
