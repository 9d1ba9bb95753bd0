"""ClickHouse: tables and views as ordered SQL files, migrations, client."""
