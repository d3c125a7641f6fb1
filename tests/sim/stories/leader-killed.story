# A leader dies with three regions there: another one leads within a few seconds, nothing is lost.
at 2 kill leader:payments-0
expect 2 2.1 is killed
expect 2.1 6 command=fence
expect 2.1 6 role=serving
never 2.1 12 begins anew
end 12
