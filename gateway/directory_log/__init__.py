"""The transparency log of a directory on disk and over HTTP, its witnesses and its monitors."""
