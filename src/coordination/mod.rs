//! Short-lived shared state: queue order, admission, seat locks.
