"""`make bench`: measures Pulley beside what people would use instead."""
