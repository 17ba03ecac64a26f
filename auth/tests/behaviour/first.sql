-- What the first release kept in its tables (0001) after `apply` of a seed and one sign-in.
UPDATE counters SET value = 1 WHERE name IN ('prefixes', 'keys');
INSERT INTO signing_keys (kid, seed, created_at, retired_at)
VALUES ('YrjbDldokEtk0AEO64zQwQ', 'gRmzByncUEBq9BIOieP1DF0INSdjkitPy0vOTUmxoaA', 1795959397, NULL);
INSERT INTO secrets (name, value) VALUES ('refresh', '2MnOQ1asHkgpxvCIaEL2arIabjwFDpdq1V_g4Ox2QV8');
INSERT INTO packages (name, created_at) VALUES ('basic', 1795959397);
INSERT INTO package_channels (package, channel) VALUES ('basic', 'one'), ('basic', 'two');
INSERT INTO accounts (id, username, password_hash, created_at, signed_in_at, disabled_at)
VALUES ('v3afa_27iN4e3m5GfjNRlw', 'anna',
        '$argon2id$v=19$m=19456,t=2,p=1$poYFocWv8pw/mD0PO6dqrg$xQhhmxOpkquH/OObDKe10/3cD34dWtI5augKVSPTKb0',
        1795959397, 1795959399, NULL);
INSERT INTO account_packages (account, package) VALUES ('v3afa_27iN4e3m5GfjNRlw', 'basic');
INSERT INTO nodes (name, role, credential_hash, channels, created_at, seen_at, revoked_at)
VALUES ('rep', 'repeater', '0e8829d68df362dbe494b01f0976e0b34823d691905a0ccb5f6b0553469ed0ea', '["one"]', 1795959397, NULL, NULL);
INSERT INTO sessions (id, account, node, device, generation, created_at, renewed_at, subset, asn, country)
VALUES ('M1FHQhJDfG35aLchyPAQ4g', 'v3afa_27iN4e3m5GfjNRlw', NULL, '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo', 0,
        1795959399, 1795959399, 7, 64512, 'CH');
INSERT INTO prefixes (prefix, subset, asn, country) VALUES ('127.0.0.0/24', 7, 64512, 'CH');
