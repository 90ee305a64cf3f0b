// Why the embedded database cannot start, and what the person in front of it can do.

export type DatabaseStartCause =
  | "runs-as-root"
  | "unsupported-platform"
  | "missing-library"
  | "disk-full"
  | "permission"
  | "wrong-version"
  | "not-a-database"
  | "too-slow"
  | "failed";

const useAnother = "set DATABASE_URL to a PostgreSQL server of your own";

const hints: Record<DatabaseStartCause, string> = {
  "runs-as-root": `PostgreSQL refuses to run as root, and this machine allows no user namespaces: start Hotseat as an ordinary user, or ${useAnother}.`,
  "unsupported-platform": `The embedded database runs on Linux with glibc and on macOS, x64 and arm64. Run \`npm ci\` if optional packages were left out, else ${useAnother}.`,
  "missing-library": `Install the library with your system's packages (Alpine and other musl systems have none that fits), or ${useAnother}.`,
  "disk-full": "Free some space (the database needs 100 MB to start), then start again. Nothing committed is lost.",
  permission: "Make the data folder, and the folder Hotseat is installed in, accessible to the user who runs it.",
  "wrong-version": `Start it with the Hotseat version that made it, or take another data folder, or ${useAnother}.`,
  "not-a-database": "Choose an empty or new data folder; this one is left as it is.",
  "too-slow":
    "Another process may hold the data folder, or the disk is very slow: see the database's log, then try again.",
  failed: `See the database's log. If you cannot mend it, ${useAnother}.`,
};

export class DatabaseStartError extends Error {
  override name = "DatabaseStartError";
  /** What to do about it, as a sentence for people. */
  readonly hint: string;

  constructor(
    readonly reason: DatabaseStartCause,
    detail: string,
    options?: ErrorOptions,
  ) {
    super(detail, options);
    this.hint = hints[reason];
  }
}

const signs: readonly (readonly [RegExp, DatabaseStartCause])[] = [
  [/No space left on device|ENOSPC|Disk quota exceeded|EDQUOT/, "disk-full"],
  [
    /error while loading shared libraries|Library not loaded|cannot execute: required file not found/,
    "missing-library",
  ],
  [/Permission denied|EACCES|EPERM|Operation not permitted|EROFS|Read-only file system|wrong ownership/, "permission"],
  [/ENOENT.*mkdir/, "permission"], // how Node reports a folder to be made in a read-only file system
  [/database files are incompatible with server/, "wrong-version"],
];

/** What PostgreSQL printed (LC_ALL=C), or the error of starting it, as one of the causes above. */
export function explainFailure(what: string, evidence: string | Error): DatabaseStartError {
  if (evidence instanceof DatabaseStartError) return evidence;
  const text = typeof evidence === "string" ? evidence : evidence.message;
  // A program that is there but cannot be found is one whose dynamic loader is missing: another libc.
  const missingLoader =
    typeof evidence !== "string" && "syscall" in evidence && `${evidence.syscall}`.startsWith("spawn");
  const reason = signs.find(([sign]) => sign.test(text))?.[1] ?? (missingLoader ? "missing-library" : "failed");
  const lines = text.trim().split("\n");
  const telling = lines.filter((line) => /FATAL|PANIC|ERROR|error|denied|No space/.test(line));
  const detail = (telling.length > 0 ? telling : lines).slice(-3).join(" · ");
  return new DatabaseStartError(reason, `${what}: ${detail || "it said nothing"}`, { cause: evidence });
}
