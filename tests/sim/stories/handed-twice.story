# G7. The controller hands over to one node, whose order hangs on the way for so long that it is forgotten; then
# to the other one. The first stands at last and gets the old one's vote; the second asks for the same term, and
# would get it, too, since it is whom the old one hands over to: two leaders of one term.
expect 4.5 8 event=controller
at 1.8 call old controller
at 1.8 call first rest
at 1.8 call second rest
at 2.0 delay old first 300
at 2.5 delay old first 600
at 4.0 control first
at 4.5 delay second old 100
at 4.58 control second
at 4.6 cut-one-way second first
at 7 heal
end 8
