"""Who asks the directory stays unknown to it: Oblivious HTTP, Privacy Pass, split storage."""
