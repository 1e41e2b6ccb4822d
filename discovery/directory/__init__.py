"""The directory: identifiers, owner-signed records, statuses, holds, challenges; values only."""
