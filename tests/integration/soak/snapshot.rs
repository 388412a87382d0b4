//! The rows of the active dataset, read in one transaction with the test's own SQL. All databases accept the same
//! statements.

use std::collections::HashMap;
use std::path::Path;

use crate::support::Database;
use crate::support::backend::dataset_file;
use crate::support::database::Kind;

/// The rows that the invariants need.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub places: Vec<PlaceRow>,
    pub admissions: Vec<AdmissionRow>,
    pub reservations: HashMap<i64, ReservationRow>,
    pub ledger: Vec<LedgerRow>,
    /// The balances other than 0, by user.
    pub balances: HashMap<i64, i64>,
    /// Status of the seats that are not available: 1 held, 2 sold.
    pub seats: HashMap<i64, i64>,
}

#[derive(Clone, Copy, Debug)]
pub struct PlaceRow {
    pub place: u64,
    pub user: i64,
    pub ended: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct AdmissionRow {
    pub watermark: u64,
    /// Unix milliseconds.
    pub at: i64,
}

/// Status of a reservation, as the schema numbers them.
pub mod status {
    pub const PENDING: i64 = 0;
    pub const PAID: i64 = 1;
    pub const EXPIRED: i64 = 2;
    pub const CANCELLED: i64 = 3;
}

#[derive(Clone, Copy, Debug)]
pub struct ReservationRow {
    pub seat: i64,
    pub user: i64,
    pub price: i64,
    pub status: i64,
    /// Unix milliseconds.
    pub expires_at: i64,
}

#[derive(Clone, Copy, Debug)]
pub struct LedgerRow {
    pub user: i64,
    pub amount: i64,
    /// The reservation that was paid; `None`: a charge.
    pub reservation: Option<i64>,
    /// 0 charge, 1 payment.
    pub kind: i64,
}

/// Each row is made of integers; NULL is `None`.
type Rows = Vec<Vec<Option<i64>>>;

const PLACES: &str = "SELECT place, user_id, ended_at FROM queue_places ORDER BY place";
const ADMISSIONS: &str = "SELECT mark, at FROM admissions ORDER BY mark";
const RESERVATIONS: &str =
    "SELECT id, seat_id, user_id, price, status, expires_at FROM reservations";
const LEDGER: &str = "SELECT user_id, amount, reservation_id, kind FROM ledger";
const BALANCES: &str = "SELECT id, balance FROM users WHERE balance <> 0";
const SEATS: &str = "SELECT id, status FROM seats WHERE status <> 0";
const STATEMENTS: [&str; 6] = [PLACES, ADMISSIONS, RESERVATIONS, LEDGER, BALANCES, SEATS];

impl Snapshot {
    /// Reads the embedded database in a data directory.
    pub fn of_sqlite(dir: &Path) -> rusqlite::Result<Snapshot> {
        let mut database = rusqlite::Connection::open(dataset_file(dir))?;
        database.pragma_update(None, "query_only", true)?;
        let transaction = database.transaction()?;
        let mut tables = Vec::new();
        for statement in STATEMENTS {
            let mut statement = transaction.prepare(statement)?;
            let columns = statement.column_count();
            let rows =
                statement.query_map([], |row| (0..columns).map(|at| row.get(at)).collect())?;
            tables.push(rows.collect::<rusqlite::Result<Rows>>()?);
        }
        Ok(Snapshot::from_tables(tables))
    }

    /// Reads the active dataset of a shared database.
    pub async fn of_shared(database: &Database) -> Result<Snapshot, String> {
        let begin = match database.kind() {
            Kind::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            Kind::MariaDb => {
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION READ ONLY"
            }
        };
        // Each row begins with the number of its statement.
        let numbered = STATEMENTS
            .iter()
            .enumerate()
            .map(|(nth, statement)| statement.replacen("SELECT ", &format!("SELECT {nth}, "), 1));
        let all: Vec<String> = [begin.to_owned()].into_iter().chain(numbered).collect();
        let dataset = database.try_dataset().await?;
        let read = database.tamper(&dataset, &all.join("; ")).await?;
        let mut tables = vec![Rows::new(); STATEMENTS.len()];
        for line in read.lines() {
            let mut cells = line.split('|').map(|cell| cell.parse::<i64>().ok());
            let nth = cells
                .next()
                .flatten()
                .and_then(|nth| usize::try_from(nth).ok());
            tables[nth.expect("the number of a statement")].push(cells.collect());
        }
        Ok(Snapshot::from_tables(tables))
    }

    fn from_tables(tables: Vec<Rows>) -> Snapshot {
        let [places, admissions, reservations, ledger, balances, seats] =
            <[Rows; 6]>::try_from(tables).expect("one table a statement");
        let int = |cell: Option<i64>| cell.expect("the column is NOT NULL");
        let pair = |row: &Vec<Option<i64>>| (int(row[0]), int(row[1]));
        let number = |cell| u64::try_from(int(cell)).expect("places are positive");
        Snapshot {
            places: places
                .iter()
                .map(|row| PlaceRow {
                    place: number(row[0]),
                    user: int(row[1]),
                    ended: row[2].is_some(),
                })
                .collect(),
            admissions: admissions
                .iter()
                .map(|row| AdmissionRow {
                    watermark: number(row[0]),
                    at: int(row[1]),
                })
                .collect(),
            reservations: reservations
                .iter()
                .map(|row| {
                    let reservation = ReservationRow {
                        seat: int(row[1]),
                        user: int(row[2]),
                        price: int(row[3]),
                        status: int(row[4]),
                        expires_at: int(row[5]),
                    };
                    (int(row[0]), reservation)
                })
                .collect(),
            ledger: ledger
                .iter()
                .map(|row| LedgerRow {
                    user: int(row[0]),
                    amount: int(row[1]),
                    reservation: row[2],
                    kind: int(row[3]),
                })
                .collect(),
            balances: balances.iter().map(pair).collect(),
            seats: seats.iter().map(pair).collect(),
        }
    }

    /// All places up to this one are admitted.
    pub fn watermark(&self) -> u64 {
        self.admissions.last().map_or(0, |row| row.watermark)
    }
}
