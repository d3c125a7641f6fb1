# A node that leads a third of 1,000 partitions dies: all are led again, together.
at 1 create many 1000
at 6 led many
at 7 kill 1
at 15 led many
expect 15 15 1000 of 1000 partitions of many are led
end 16
