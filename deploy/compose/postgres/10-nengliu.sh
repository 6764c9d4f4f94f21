#!/bin/sh
# Run once by the image's entrypoint in a fresh data folder: our roles and our database.
set -eu
psql -v ON_ERROR_STOP=1 --username postgres --dbname postgres <<SQL
create role nengliu_owner login password '${NENGLIU_OWNER_PASSWORD}';
create role nengliu_pipeline login password '${NENGLIU_PIPELINE_PASSWORD}';
create role nengliu_read login password '${NENGLIU_READ_PASSWORD}';
create database nengliu owner nengliu_owner;
SQL
psql -v ON_ERROR_STOP=1 --username postgres --dbname nengliu --file /nengliu/prepare_database.sql
