//! A dataset profile becomes rows, loaded in bulk with progress.
