"""`easypay db`: the database of a gateway."""
