-- name: stage
-- Keep lines of a report. Of two about one attempt the first one stays.
INSERT INTO reconciliation_entries (run_id, line, attempt, kind, amount_minor, currency, reference)
SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[])
    AS item (line, attempt, kind, amount_minor, currency, reference)
ORDER BY attempt, line
ON CONFLICT DO NOTHING;

-- name: repeated_lines
-- Which of these lines are about an attempt that an earlier one was about.
SELECT input.line, input.attempt, entry.line AS first_line
FROM unnest($2::bigint[], $3::text[]) AS input (line, attempt)
JOIN reconciliation_entries AS entry ON entry.run_id = $1 AND entry.attempt = input.attempt
WHERE entry.line <> input.line;

-- name: cancel_undone
-- Take out what was undone under the same attempt before anybody was told of it: our books never had it.
WITH undo AS (
    SELECT attempt, left(attempt, -5) AS original, amount_minor, currency FROM reconciliation_entries
    WHERE run_id = $1 AND attempt LIKE '%\_undo' AND kind = 'refund'
), pairs AS (
    SELECT undo.attempt, undo.original FROM undo
    JOIN reconciliation_entries AS entry ON entry.run_id = $1 AND entry.attempt = undo.original
        AND entry.kind = 'capture' AND entry.amount_minor = undo.amount_minor AND entry.currency = undo.currency
)
DELETE FROM reconciliation_entries USING pairs
WHERE run_id = $1 AND reconciliation_entries.attempt IN (pairs.attempt, pairs.original);

-- name: match
-- A page of captures and refunds in the order of time, of one processor and of attempts in a range of ids, with the
-- lines of the report that they meet, which are taken out. Returns one row: the page's size and last posting, how many
-- agree, and those that do not.
WITH page AS MATERIALIZED (
    SELECT * FROM ledger_postings
    WHERE (created_at, merchant_id, payment_id, attempt_id) > ($2, $3, $4, $5)
        AND 'processor_receivable' IN (debit, credit)
    ORDER BY created_at, merchant_id, payment_id, attempt_id LIMIT $6
), ours AS MATERIALIZED (
    SELECT page.payment_id, page.amount, page.currency,
        CASE WHEN debit = 'processor_receivable' THEN 'capture' ELSE 'refund' END AS kind,
        'att_' || replace(attempt_id::text, '-', '') AS attempt
    FROM page JOIN payments ON payments.merchant_id = page.merchant_id AND payments.id = page.payment_id
    WHERE payments.processor = $7 AND page.attempt_id >= $8 AND page.attempt_id < $9
), met AS (
    DELETE FROM reconciliation_entries AS entry USING ours
    WHERE entry.run_id = $1 AND entry.attempt = ours.attempt
    RETURNING entry.attempt, entry.line, entry.kind, entry.amount_minor, entry.currency, entry.reference
), judged AS (
    SELECT ours.*, met.line, met.kind AS their_kind, met.amount_minor AS their_amount, met.currency AS their_currency,
        met.reference,
        CASE WHEN met.attempt IS NULL THEN 'missing_there'
            WHEN (met.kind, met.amount_minor, met.currency) = (ours.kind, ours.amount, ours.currency) THEN 'matched'
            ELSE 'amount_differs' END AS verdict
    FROM ours LEFT JOIN met USING (attempt)
)
SELECT (SELECT count(*) FROM page) AS size,
    (SELECT ARRAY[to_json(created_at) #>> '{}', merchant_id::text, payment_id::text, attempt_id::text] FROM page
     ORDER BY created_at DESC, merchant_id DESC, payment_id DESC, attempt_id DESC LIMIT 1) AS last,
    count(*) FILTER (WHERE verdict = 'matched') AS matched,
    coalesce(json_agg(judged) FILTER (WHERE verdict <> 'matched'), '[]')::text AS exceptions
FROM judged;

-- name: take_unmet
-- A page of the lines that no posting met, taken out, and whether each is about an attempt of the range of ids. What is
-- no attempt of ours has no time, so it is always in it.
DELETE FROM reconciliation_entries AS entry USING (
    SELECT attempt FROM reconciliation_entries WHERE run_id = $1 ORDER BY attempt LIMIT $4
) AS page
WHERE entry.run_id = $1 AND entry.attempt = page.attempt
RETURNING entry.*,
    entry.attempt !~ '^att_[0-9a-f]{32}$'
        OR (entry.attempt COLLATE "C" >= $2 AND entry.attempt COLLATE "C" < $3) AS is_due;

-- name: drop_others
-- A page of the lines of runs that were given up. Two ranges of the key: `<>` would read the lines of this run too.
DELETE FROM reconciliation_entries AS entry USING (
    (SELECT run_id, attempt FROM reconciliation_entries WHERE run_id < $1 ORDER BY run_id, attempt LIMIT $2)
    UNION ALL
    (SELECT run_id, attempt FROM reconciliation_entries WHERE run_id > $1 ORDER BY run_id, attempt LIMIT $2)
    LIMIT $2
) AS page
WHERE entry.run_id = page.run_id AND entry.attempt = page.attempt;
