//! Sends samples by Prometheus's remote write, the only way to send staleness markers.
//!
//! <https://prometheus.io/docs/specs/prw/remote_write_spec/>: a protobuf message in a snappy block. This code writes
//! both itself: four small messages, and a block of literals.

use super::history::Series;

/// Sends series to a Prometheus that accepts remote writes.
pub(crate) async fn send(url: &str, series: &[Series]) {
    let mut request = vec![];
    for (labels, samples) in series {
        let mut message = vec![];
        for (name, value) in labels.iter() {
            let mut label = vec![];
            field(&mut label, 1, name.as_bytes());
            field(&mut label, 2, value.as_bytes());
            field(&mut message, 1, &label);
        }
        for (t, v) in samples {
            let mut sample = vec![1 << 3 | 1];
            sample.extend(v.to_bits().to_le_bytes());
            sample.push(2 << 3);
            varint(&mut sample, *t as u64);
            field(&mut message, 2, &sample);
        }
        field(&mut request, 1, &message);
    }
    let response = crate::support::client()
        .post(format!("{url}/api/v1/write"))
        .header("Content-Encoding", "snappy")
        .header("Content-Type", "application/x-protobuf")
        .header("X-Prometheus-Remote-Write-Version", "0.1.0")
        .body(snappy(&request))
        .send()
        .await
        .unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    assert!(status.is_success(), "remote write: {status} {text}");
}

/// Writes a length-delimited field: tag, length, bytes.
fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn varint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// An uncompressed block: its length, then literals of up to 2^16 bytes.
fn snappy(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    varint(&mut out, bytes.len() as u64);
    for chunk in bytes.chunks(1 << 16) {
        out.push(61 << 2);
        out.extend(((chunk.len() - 1) as u16).to_le_bytes());
        out.extend(chunk);
    }
    out
}
