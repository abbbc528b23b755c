"""Settlements: what each merchant is paid for a day, and the payment's own record of it."""
