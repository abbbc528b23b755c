-- No default and no check: either would have the table read, or written anew, under a lock.
ALTER TABLE tasks ADD COLUMN IF NOT EXISTS trace text;
COMMENT ON COLUMN tasks.trace IS
    'The span that enqueued it, as the traceparent of W3C Trace Context, where that is recorded: one in a hundred is.';
