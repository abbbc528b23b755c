"""Whether payments say what their postings say."""
