//! axum: route table, middleware, extractors, one file per resource; the operations listener.
