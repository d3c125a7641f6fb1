# The home of an async topic is cut off while its clients go on: another region leads; what only the home
# had is in its quarantine and in the ledger.
topics clicks
at 3 isolate 1
expect 3 15 lossy epoch
never 3 15 the bound is not guaranteed
at 15 heal
expect 15 25 event=quarantined
end 25
