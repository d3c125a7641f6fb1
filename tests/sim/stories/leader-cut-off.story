# The leader cannot be reached by anybody: it acknowledges nothing more, the others go on without it.
at 2 isolate leader:payments-0
expect 2 9 role=serving
at 10 heal
expect 10 14 role=following
end 14
