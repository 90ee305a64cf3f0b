// Imported before any schema is made: zod would otherwise try `new Function`, which a strict content security policy
// (ours, and any careful integrator's) reports as a violation. Parsing without it is slower, which nobody notices here.
import * as z from "zod";

z.config({ jitless: true });
