"""What each PASSporT type adds to the base of RFC 8225, one module a type."""
