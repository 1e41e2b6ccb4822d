"""A softphone for test calls: pjsua2 in a child process, and the tones it plays and measures."""
