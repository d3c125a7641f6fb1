# G1. The controller's answers hang on the way while its log grows by what nobody else has. The next one is
# elected; its first heartbeat fits the old one's log where both still agree, and is answered with the length
# of the whole. When that answer arrives at last the new one has written something else there, and has just
# lost the third: it must not take the answer for a copy. It dies, and the third leads.
expect 2.1 5 event=quorum_leads
at 2 call old controller
at 2 delay old 1 1500
at 2 delay old 2 1500
at 2 delay old 3 1500
at 2.001 ask mine old 40
when 2.1 event=quorum_leads: +0 call new teller
when 2.1 event=quorum_leads: +0 call third rest
when 2.1 event=quorum_leads: +0 delay new old 4000
when 2.1 event=quorum_leads: +1.4 cut new third
when 2.1 event=quorum_leads: +1.402 ask lost new 1
when 2.1 event=quorum_leads: +1.7 power new
when 2.1 event=quorum_leads: +1.7 reset new third
when 2.1 event=quorum_leads: +1.8 heal
when 2.1 event=quorum_leads: +1.7 delay old third 10
when 2.1 event=quorum_leads: +8 start new
end 13
