# The application of a laboratory, in small: libraries that take long to load, and one page.
import flask
import pandas
import scipy.stats

app = flask.Flask(__name__)


@app.route("/")
def page():
    sample = pandas.Series(scipy.stats.norm.rvs(size=1000, random_state=1))
    return sample.describe().to_string()
