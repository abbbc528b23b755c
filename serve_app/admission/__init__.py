"""Who is let in and when: priorities, fairness, an adaptive limit of what runs at once, cheap refusals."""
