"""Publishing opted-in numbers: records made from URIs, and a zone that is signed as it answers."""
