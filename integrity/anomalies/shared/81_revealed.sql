-- Transactions whose publisher was not told how they ended, and of which a committed reader saw something: they were
-- committed, so all of them was.
SELECT DISTINCT p.publisher, p.transaction FROM pairs p WHERE p.revealing
