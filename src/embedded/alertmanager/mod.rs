//! Embedded alertmanager.
