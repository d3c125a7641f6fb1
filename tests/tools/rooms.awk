# SPDX-License-Identifier: Apache-2.0
# Checks the one-way doors of src/rooms.txt: awk -f rooms.awk src/rooms.txt $(find src -name '*.[ch]')
FNR == NR {
    sub(/#.*/, "")
    if ($1 ~ /^</) { header = substr($1, 2); sub(/:$/, "", header); homes[header] = " " rest() " "; next }
    if ($1 ~ /:$/) { room = $1; sub(/:$/, "", room); known[room] = 1; doors[room] = " " room " base " rest() " " }
    next
}
function rest(   i, s) { s = ""; for (i = 2; i <= NF; i++) s = s $i " "; return s }
FNR == 1 {
    split(FILENAME, part, "/")
    room = part[2]
    if (!(room in known)) { print FILENAME ": room " room " is not in src/rooms.txt"; bad = 1 }
}
/^#[ \t]*include[ \t]+"/ {
    name = $0; sub(/^[^"]*"/, "", name); sub(/".*/, "", name)
    other = name; sub(/\/.*/, "", other)
    if (name ~ /\// && other in known && index(doors[room], " " other " ") == 0) {
        print FILENAME ":" FNR ": room " room " may not include " name; bad = 1
    }
}
/^#[ \t]*include[ \t]+</ {
    name = $0; sub(/^[^<]*</, "", name); sub(/>.*/, "", name)
    for (header in homes)
        if (index(name, header) == 1 && index(homes[header], " " room " ") == 0) {
            print FILENAME ":" FNR ": <" name "> may not be included in room " room; bad = 1
        }
}
END { exit bad }
