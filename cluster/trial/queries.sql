-- name: money
-- What the books say of the payments with a description: how many there are, how many have no outcome, how many were
-- charged more than once, and how many disagree with their postings.
WITH mine AS MATERIALIZED (
    SELECT payments.* FROM payments
    JOIN merchants ON merchants.id = payments.merchant_id
    WHERE merchants.name = $1 AND payments.description = $2
), charges AS (
    SELECT payment_id, count(*) AS charged FROM attempts
    WHERE (merchant_id, payment_id) IN (SELECT merchant_id, id FROM mine)
        AND kind = 'authorize' AND state = 'succeeded'
    GROUP BY payment_id
), books AS (
    SELECT payment_id, -sum(amount) AS owed FROM ledger_entries
    WHERE account = 'merchant_payable' AND payment_id IN (SELECT id FROM mine)
    GROUP BY payment_id
)
SELECT count(*)::int AS stored,
    count(*) FILTER (WHERE mine.status = 'processing')::int AS open,
    count(*) FILTER (WHERE coalesce(charges.charged, 0) > 1)::int AS charged_twice,
    count(*) FILTER (
        WHERE coalesce(books.owed, 0) <> mine.amount_captured - mine.amount_refunded
    )::int AS unbalanced,
    coalesce(array_agg(mine.id) FILTER (WHERE mine.status = 'captured'), '{}')::uuid[] AS captured
FROM mine
LEFT JOIN charges ON charges.payment_id = mine.id
LEFT JOIN books ON books.payment_id = mine.id;
