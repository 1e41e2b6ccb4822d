-- The directory's tables as they were made before they had a version.
CREATE TABLE ca_authorizations (
    csi VARCHAR(261) NOT NULL,
    thumbprint VARCHAR(43) NOT NULL,
    certificate_id VARCHAR(43) NOT NULL,
    proven_at FLOAT NOT NULL,
    chain_pem TEXT NOT NULL,
    issued_at FLOAT NOT NULL,
    not_after FLOAT NOT NULL,
    PRIMARY KEY (csi, thumbprint),
    UNIQUE (certificate_id)
);
CREATE TABLE ca_challenges (
    challenge_id VARCHAR(43) NOT NULL,
    csi VARCHAR(261) NOT NULL,
    prefix VARCHAR(261) NOT NULL,
    source VARCHAR(64) NOT NULL,
    thumbprint VARCHAR(43) NOT NULL,
    answer VARCHAR(43) NOT NULL,
    made_at FLOAT NOT NULL,
    expires_at FLOAT NOT NULL,
    tries INTEGER NOT NULL,
    used BOOLEAN NOT NULL,
    completed BOOLEAN NOT NULL,
    PRIMARY KEY (challenge_id)
);
CREATE INDEX ca_challenges_csi ON ca_challenges (csi, made_at);
CREATE INDEX ca_challenges_made ON ca_challenges (made_at);
CREATE INDEX ca_challenges_prefix ON ca_challenges (prefix, made_at);
CREATE INDEX ca_challenges_source ON ca_challenges (source, made_at);
CREATE TABLE dp_claims (
    csi VARCHAR(261) NOT NULL,
    thumbprint VARCHAR(43) NOT NULL,
    claimed_at FLOAT NOT NULL,
    effective_at FLOAT NOT NULL,
    PRIMARY KEY (csi, thumbprint)
);
CREATE INDEX dp_claims_effective ON dp_claims (effective_at);
CREATE TABLE dp_floors (
    csi VARCHAR(261) NOT NULL,
    thumbprint VARCHAR(43) NOT NULL,
    seq INTEGER NOT NULL,
    kept_until FLOAT NOT NULL,
    PRIMARY KEY (csi, thumbprint)
);
CREATE INDEX dp_floors_until ON dp_floors (kept_until);
CREATE TABLE dp_records (
    csi VARCHAR(261) NOT NULL,
    thumbprint VARCHAR(43) NOT NULL,
    token TEXT NOT NULL,
    digest VARCHAR(43) NOT NULL,
    chain TEXT NOT NULL,
    drops_others BOOLEAN NOT NULL,
    opted_out BOOLEAN NOT NULL,
    live_at FLOAT NOT NULL,
    until FLOAT NOT NULL,
    log_index INTEGER,
    PRIMARY KEY (csi, thumbprint)
);
CREATE INDEX dp_records_until ON dp_records (until);
CREATE TABLE dp_removals (
    csi VARCHAR(261) NOT NULL,
    removed_at FLOAT NOT NULL,
    PRIMARY KEY (csi)
);
