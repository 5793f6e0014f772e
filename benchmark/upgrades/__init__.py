"""Find the library release, the upgrade or the commit that changes a result."""
