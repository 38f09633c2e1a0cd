-- Which installation this is, and where. Run as dbsts_owner; a second install finds its row and checks it.
-- Settings of the transaction: dbsts.installation, dbsts.address, dbsts.creators.
DO $home$
DECLARE
    here dbsts.home;
BEGIN
    INSERT INTO dbsts.policy DEFAULT VALUES ON CONFLICT DO NOTHING;
    INSERT INTO dbsts.home (installation, address, database_oid, system_identifier, creators)
    SELECT current_setting('dbsts.installation')::uuid, current_setting('dbsts.address'), d.oid, c.system_identifier,
           current_setting('dbsts.creators')::int
    FROM pg_database d, pg_control_system() c WHERE d.datname = current_database()
    ON CONFLICT DO NOTHING;

    SELECT * INTO STRICT here FROM dbsts.home;
    IF here.address <> current_setting('dbsts.address')
       OR here.system_identifier <> (SELECT system_identifier FROM pg_control_system()) THEN
        RAISE EXCEPTION 'dbsts was installed on this server as %, not as %', here.address, current_setting('dbsts.address')
            USING ERRCODE = 'DS001', HINT = 'Is it a clone or a restored snapshot, or did the address merely change? docs/operations.md says what to do.';
    END IF;
    UPDATE dbsts.home SET creators = greatest(creators, current_setting('dbsts.creators')::int);
END
$home$;
