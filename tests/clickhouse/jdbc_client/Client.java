import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.util.Properties;

/** Connects, writes a thousand rows in a batch, reads them with their types, and meets an error. */
public class Client {
    public static void main(String[] arguments) throws SQLException {
        Properties login = new Properties();
        login.setProperty("user", arguments[1]);
        login.setProperty("password", arguments[2]);
        try (Connection connection = DriverManager.getConnection("jdbc:clickhouse://" + arguments[0] + "/default", login);
                Statement statement = connection.createStatement()) {
            System.out.println("version " + connection.getMetaData().getDatabaseProductVersion());
            statement.execute("CREATE TABLE from_jdbc (id UInt64, name String, at DateTime64(3, 'UTC'), price Decimal(9, 2),"
                + " tags Array(String), note Nullable(String)) ENGINE = MergeTree ORDER BY id");
            String insert = "INSERT INTO from_jdbc (id, name, at, price, tags, note) VALUES (?, ?, ?, ?, ?, ?)";
            try (PreparedStatement rows = connection.prepareStatement(insert)) {
                for (int number = 0; number < 1000; number++) {
                    rows.setLong(1, number);
                    rows.setString(2, "it's \\ " + number);
                    rows.setTimestamp(3, Timestamp.from(java.time.Instant.ofEpochMilli(1_767_225_600_123L + number)));
                    rows.setBigDecimal(4, new java.math.BigDecimal("12.34"));
                    rows.setArray(5, connection.createArrayOf("String", new String[] {"a", "b" + number}));
                    rows.setString(6, number % 2 == 0 ? null : "odd");
                    rows.addBatch();
                }
                System.out.println("inserted " + rows.executeBatch().length);
            }
            try (ResultSet row = statement.executeQuery("SELECT count(), sum(id), countIf(note IS NULL), sum(price) FROM from_jdbc")) {
                row.next();
                System.out.println("sums " + row.getLong(1) + " " + row.getLong(2) + " " + row.getLong(3) + " " + row.getBigDecimal(4));
            }
            try (PreparedStatement asked = connection.prepareStatement("SELECT * FROM from_jdbc WHERE id = ?")) {
                asked.setLong(1, 7);
                try (ResultSet row = asked.executeQuery()) {
                    row.next();
                    System.out.println("row " + row.getLong("id") + " " + row.getString("name") + " "
                        + row.getTimestamp("at").toInstant() + " " + row.getBigDecimal("price") + " "
                        + java.util.Arrays.toString((Object[]) row.getArray("tags").getArray()) + " " + row.getString("note"));
                }
            }
            try {
                statement.executeQuery("SELECT * FROM nothing_of_this_name");
            } catch (SQLException expected) {
                System.out.println("error " + expected.getMessage().contains("UNKNOWN_TABLE"));
            }
        }
    }
}
