from robotrader.api import Costs as Costs
from robotrader.api import Data as Data
from robotrader.api import Result as Result
from robotrader.api import Sweep as Sweep
from robotrader.api import backtest as backtest
from robotrader.api import load as load
from robotrader.api import report as report
from robotrader.api import sweep as sweep
from robotrader.api import trials as trials

__version__: str
