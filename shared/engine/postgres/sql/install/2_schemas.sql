-- The two schemas. Run by the administrator, who may act as the owners during the installation.
CREATE SCHEMA IF NOT EXISTS dbsts     AUTHORIZATION dbsts_owner;
CREATE SCHEMA IF NOT EXISTS dbsts_api AUTHORIZATION dbsts_owner;
